-- End actions that will not begin, because the execution halted or was cancelled.
--
-- KEYS  execution, actions, deadlines, log, then a result key for each action
-- ARGV  clock, execution id, '1' when they were counted as open, ms until the sweeper looks after what
--       follows, then action id, record JSON, result payload of each
-- Returns the head, or nothing when there is no such execution. Open ones are left alone when it neither halted nor was
--   cancelled: the server has lost that since the caller saw it.
-- Invariant: an action that runs or has ended is left alone; one between two attempts, or with a remote
--   service, too, unless its row says that it is meant.
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
if ARGV[3] == '1' then
  local stops = redis.call('HMGET', KEYS[1], 'halted', 'cancel')
  if not (stops[1] or stops[2]) then return head_of(KEYS[1]) end
end
local now = clock(ARGV[1])
local settled = settle(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[2], now, ARGV, 5, 5)
if settled > 0 then
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  if ARGV[3] == '1' and redis.call('HINCRBY', KEYS[1], 'open', -settled) == 0 then
    redis.call('ZADD', KEYS[3], now + tonumber(ARGV[4]), ARGV[2] .. '|')
  end
end
return head_of(KEYS[1])
