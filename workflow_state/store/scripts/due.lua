-- Claim deadlines that have passed: each is pushed back, so that one sweeper alone handles it, and
-- another does if this one dies over it.
--
-- KEYS  deadlines, sweeper
-- ARGV  clock, how many at most, ms to push back, ms after which a silent sweeper is forgotten
-- Returns the claimed members.
-- Invariant: a deadline leaves the set only when its action or execution has ended.
local now = clock(ARGV[1])
redis.call('SET', KEYS[2], now, 'PX', ARGV[4])
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, member in ipairs(members) do
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), member)
end
return members
