-- Count how often it was looked whether messages are lost: those of a level, of an attempt, or of the end.
--
-- KEYS  execution
-- ARGV  clock, what is looked after
-- Returns the count, this time included; 0 when there is no such execution.
-- Invariant: what was deleted does not come back.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HINCRBY', KEYS[1], 'looks:' .. ARGV[2], 1)
