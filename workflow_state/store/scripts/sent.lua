-- Keep what is about to be sent, until a worker has accepted it.
--
-- KEYS  execution, sent, deadlines
-- ARGV  clock, execution id, message, ms until the sweeper looks, ms that it is kept
-- Invariant: nothing is kept of an execution that was accepted, and its deadline stays its own.
if redis.call('EXISTS', KEYS[1]) == 1 then return end
redis.call('HSET', KEYS[2], 'message', ARGV[3], 'looks', 0)
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('ZADD', KEYS[3], clock(ARGV[1]) + tonumber(ARGV[4]), ARGV[2] .. '|')
