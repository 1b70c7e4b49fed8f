-- Note that an ended execution is closed: its result is stored and its caller carried on; or that all is done.
--
-- KEYS  execution, deadlines
-- ARGV  clock, execution id, '1' when everything has its TTL, so that nobody need look at it again
-- Returns 'closed', 'deleting' when somebody wants it deleted, or nothing when there is no such execution, or one that
--   has not ended: the id is in use again.
-- Invariant: what was deleted does not come back; what is to be deleted keeps the deadline behind it; an execution that
--   has not ended is not changed.
local state = redis.call('HMGET', KEYS[1], 'status', 'deleting')
if not state[1] then
  redis.call('ZREM', KEYS[2], ARGV[2] .. '|')
  return false
end
if state[1] ~= 'completed' and state[1] ~= 'failed' and state[1] ~= 'cancelled' then return false end
redis.call('HSET', KEYS[1], 'closed', 1)
if state[2] then return 'deleting' end
if ARGV[3] == '1' then redis.call('ZREM', KEYS[2], ARGV[2] .. '|') end
return 'closed'
