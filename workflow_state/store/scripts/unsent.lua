-- Look after a message no longer that was kept.
--
-- KEYS  execution, sent, deadlines
-- ARGV  clock, execution id
-- Invariant: the deadline of an execution that is there stays.
redis.call('DEL', KEYS[2])
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[3], ARGV[2] .. '|') end
