-- Start an execution that was stored without being started.
--
-- KEYS  execution, deadlines, log
-- ARGV  clock, execution id, ms until the sweeper looks whether it moved
-- Returns 1 when this call started it, 0 otherwise.
-- Invariant: an execution is started once.
if redis.call('HGET', KEYS[1], 'status') ~= 'initializing' then return 0 end
local now = clock(ARGV[1])
redis.call('HSET', KEYS[1], 'status', 'running', 'started_at', now)
redis.call('HINCRBY', KEYS[1], 'version', 1)
note(KEYS[3], now, 'plan.execution.started')
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[2] .. '|')
return 1
