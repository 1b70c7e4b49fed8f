-- Accept an execution: once. Repeating it, with whatever plan, changes nothing.
--
-- KEYS  execution, plan, program, deadlines, executions, log, sent
-- ARGV  clock, execution id, plan JSON, program JSON, ms until the sweeper looks at it ('' = never), '1' to
--       start it, then field, value, ... for the execution hash
-- Returns the head, or nothing when it was there already.
-- Invariant: the execution hash exists only together with its plan and program, and its message is kept until then.
redis.call('DEL', KEYS[7])
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
local now = clock(ARGV[1])
local started = ARGV[6] == '1'
redis.call('SET', KEYS[2], ARGV[3])
redis.call('SET', KEYS[3], ARGV[4])
redis.call('HSET', KEYS[1], 'status', started and 'running' or 'initializing', 'cursor', -1, 'open', 0,
  'failed', 0, 'skipped', 0, 'version', 1, 'created_at', now, unpack(ARGV, 7))
if started then
  redis.call('HSET', KEYS[1], 'started_at', now)
  note(KEYS[6], now, 'plan.execution.started')
end
if ARGV[5] ~= '' then redis.call('ZADD', KEYS[4], now + tonumber(ARGV[5]), ARGV[2] .. '|') end
redis.call('ZADD', KEYS[5], now, ARGV[2])
return head_of(KEYS[1])
