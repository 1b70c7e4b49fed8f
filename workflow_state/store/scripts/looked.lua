-- Count how often it was looked whether messages of a level are lost.
--
-- KEYS  execution
-- ARGV  clock, level
-- Returns the count, this time included; 0 when there is no such execution.
-- Invariant: what was deleted does not come back.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HINCRBY', KEYS[1], 'looks:' .. ARGV[2], 1)
