-- Cancel an execution: from here on nothing of it starts.
--
-- KEYS  execution, deadlines, log
-- ARGV  clock, execution id, reason, ms until the sweeper looks whether what was open has been ended
-- Returns {'cancelled', head}, also when it was cancelled before, {'ended', head} or {'unknown'}.
-- Invariant: an execution that has ended is not changed; the first reason stays.
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return {'unknown'} end
if status == 'completed' or status == 'failed' or status == 'cancelled' then return {'ended', head_of(KEYS[1])} end
if redis.call('HSETNX', KEYS[1], 'cancel', ARGV[3]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  note(KEYS[3], clock(ARGV[1]), 'plan.execution.cancelling', '', cjson.encode({reason = ARGV[3]}))
  redis.call('ZADD', KEYS[2], clock(ARGV[1]) + tonumber(ARGV[4]), ARGV[2] .. '|')
end
return {'cancelled', head_of(KEYS[1])}
