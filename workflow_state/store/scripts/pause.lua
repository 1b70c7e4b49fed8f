-- Pause an execution, so that nothing new of it starts, or let it go on.
--
-- KEYS  execution, log
-- ARGV  clock, execution id, '1' to pause or '' to resume
-- Returns {'ok', head} when this call changed it, {'repeated', head} when it was so before, {'ended'} or {'unknown'}.
-- Invariant: an execution that has ended is not changed; what runs is not touched.
local state = redis.call('HMGET', KEYS[1], 'status', 'paused')
if not state[1] then return {'unknown'} end
if state[1] == 'completed' or state[1] == 'failed' or state[1] == 'cancelled' then return {'ended'} end
if (state[2] and '1' or '') == ARGV[3] then return {'repeated', head_of(KEYS[1])} end
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[1], 'paused', 1)
else
  redis.call('HDEL', KEYS[1], 'paused')
end
redis.call('HINCRBY', KEYS[1], 'version', 1)
note(KEYS[2], clock(ARGV[1]), ARGV[3] == '1' and 'plan.execution.paused' or 'plan.execution.resumed')
return {'ok', head_of(KEYS[1])}
