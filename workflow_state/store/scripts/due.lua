-- Claim deadlines that have passed: each is pushed back, so that one sweeper alone handles it, and
-- another does if this one dies over it.
--
-- KEYS  deadlines
-- ARGV  clock, how many at most, ms to push back
-- Returns the claimed members.
-- Invariant: a deadline leaves the set only when its action or execution has ended.
local now = clock(ARGV[1])
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, member in ipairs(members) do
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), member)
end
return members
