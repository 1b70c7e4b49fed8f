-- Change the status of one action of an execution that its caller drives by hand.
--
-- KEYS  execution, actions, attempts, log, result, deadlines
-- ARGV  clock, execution id, action id, new status, error JSON or '', reason or '', result payload or '',
--       '1' when this end of the action halts the execution, ms until the sweeper looks after what follows, then a
--       status, and ids of actions: if one of them has that status, this end halts the execution, too
-- Returns {'ok'}, {'unknown'}, {'ended', status of the execution}, {'driven'} when workers drive it,
--   {'stopping'} when nothing new may start, {'paused'} while the execution is paused, or {'illegal', status of the action}.
-- Invariant: pending → running, skipped or failed; running → completed or failed; nothing else, and
--   status, result and counters change together.
local now = clock(ARGV[1])
local state = redis.call('HMGET', KEYS[1], 'status', 'driver', 'halted', 'cancel', 'paused')
if not state[1] then return {'unknown'} end
if state[1] ~= 'initializing' and state[1] ~= 'running' then return {'ended', state[1]} end
if state[2] ~= 'manual' then return {'driven'} end

local record, new = record_of(KEYS[2], ARGV[3]), ARGV[4]
local legal = (record.status == 'pending' and (new == 'running' or new == 'skipped' or new == 'failed'))
  or (record.status == 'running' and (new == 'completed' or new == 'failed'))
if not legal then return {'illegal', record.status} end
if new == 'running' and (state[3] or state[4]) then return {'stopping'} end
if new == 'running' and state[5] then return {'paused'} end

if state[1] == 'initializing' then
  redis.call('HSET', KEYS[1], 'status', 'running', 'started_at', now)
  note(KEYS[4], now, 'plan.execution.started')
end
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], 'touched_at', now)
redis.call('ZADD', KEYS[6], now + tonumber(ARGV[9]), ARGV[2] .. '|')
record.status = new
if new == 'running' then
  record.attempt, record.token = record.attempt + 1, record.token + 1
  record.started_at, record.attempt_at, record.worker = now, now, 'manual'
  redis.call('HSET', KEYS[2], ARGV[3], cjson.encode(record))
  note(KEYS[4], now, 'action.execute.requested', ARGV[3], '{"attempt":' .. record.attempt .. '}')
  return {'ok'}
end

record.ended_at = now
if ARGV[6] ~= '' then record.reason = ARGV[6] end
if ARGV[5] ~= '' then
  record.error = ARGV[5]
  if record.attempt > 0 then
    local entry = cjson.encode({number = record.attempt, started_at = record.attempt_at, ended_at = now,
      worker = record.worker, outcome = 'failed'})
    redis.call('HSET', KEYS[3], record.attempt .. ':' .. ARGV[3],
      string.sub(entry, 1, -2) .. ',"error":' .. ARGV[5] .. '}')
  end
end
redis.call('HSET', KEYS[2], ARGV[3], cjson.encode(record))
redis.call('SET', KEYS[5], ARGV[7])
redis.call('PUBLISH', KEYS[5], ARGV[7])
if new == 'skipped' then
  note(KEYS[4], now, 'action.skipped', ARGV[3], cjson.encode({reason = ARGV[6]}))
elseif new == 'failed' then
  note(KEYS[4], now, 'action.execute.failed', ARGV[3],
    '{"attempt":' .. record.attempt .. ',"error":' .. in_short(ARGV[5]) .. '}')
else
  note(KEYS[4], now, 'action.execute.completed', ARGV[3], '{"attempt":' .. record.attempt .. '}')
end
if new ~= 'completed' then redis.call('HINCRBY', KEYS[1], new, 1) end
local halts = ARGV[8] == '1'
for i = 11, #ARGV do halts = halts or record_of(KEYS[2], ARGV[i]).status == ARGV[10] end
if new ~= 'completed' and halts then redis.call('HSETNX', KEYS[1], 'halted', ARGV[3]) end
return {'ok'}
