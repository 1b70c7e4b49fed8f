-- Ask for an execution to be deleted, which nobody takes back.
--
-- KEYS  execution, deadlines
-- ARGV  clock, execution id, ms until the sweeper looks whether it was done
-- Returns {'closed'} when all of it can go now, {'ending'} when whoever closes it removes it,
--   {'open', status} when it has not ended, or {'unknown'}.
-- Invariant: an execution that has not ended is not changed; one that was asked for has a deadline behind it.
local state = redis.call('HMGET', KEYS[1], 'status', 'closed')
if not state[1] then return {'unknown'} end
if state[1] ~= 'completed' and state[1] ~= 'failed' and state[1] ~= 'cancelled' then return {'open', state[1]} end
redis.call('HSET', KEYS[1], 'deleting', 1)
redis.call('ZADD', KEYS[2], 'NX', clock(ARGV[1]) + tonumber(ARGV[3]), ARGV[2] .. '|')
return {state[2] and 'closed' or 'ending'}
