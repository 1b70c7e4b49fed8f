-- Claim actions whose turn has come, and that have not begun, to decide on them or send their messages again.
--
-- KEYS  ready
-- ARGV  clock, a time in ms, then action ids
-- Returns those of the ids that were sent last, or had their turn, at that time or before.
-- Invariant: each is claimed once for a time, however many messages ask for it.
local now = clock(ARGV[1])
local claimed = {}
for i = 3, #ARGV do
  local sent = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if sent and tonumber(sent) <= tonumber(ARGV[2]) then
    redis.call('ZADD', KEYS[1], math.max(now, tonumber(ARGV[2]) + 1), ARGV[i])
    claimed[#claimed + 1] = ARGV[i]
  end
end
return claimed
