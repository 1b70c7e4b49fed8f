-- Note that an ended execution is closed: its result is stored and its caller carried on.
--
-- KEYS  execution
-- ARGV  clock
-- Returns 'closed', 'deleting' when somebody wants it deleted, or nothing when there is no such execution.
-- Invariant: what was deleted does not come back.
local state = redis.call('HMGET', KEYS[1], 'status', 'deleting')
if not state[1] then return false end
redis.call('HSET', KEYS[1], 'closed', 1)
return state[2] and 'deleting' or 'closed'
