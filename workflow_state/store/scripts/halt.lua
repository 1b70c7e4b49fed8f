-- Note which action halts an execution.
--
-- KEYS  execution
-- ARGV  clock, action id
-- Returns 1 when this call noted it, 0 when another was noted before or there is no such execution.
-- Invariant: the first one stays; what was deleted does not come back.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HSETNX', KEYS[1], 'halted', ARGV[2])
