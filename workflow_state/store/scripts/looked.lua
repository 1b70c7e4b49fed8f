-- Count how often it was looked whether messages are lost: those of a level, of an attempt, or of the end.
--
-- KEYS  execution, looks
-- ARGV  clock, what is looked after, the wait of it that is meant: another one is counted from 1 again
-- Returns the count, this time included; 0 when there is no such execution, or it is closed.
-- Invariant: what was deleted does not come back; what is closed gets no key that would outlive the others.
local state = redis.call('HMGET', KEYS[1], 'status', 'closed')
if not state[1] or state[2] then return 0 end
local count, wait = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '', '^(%d+) (.*)$')
count = wait == ARGV[3] and count + 1 or 1
redis.call('HSET', KEYS[2], ARGV[2], count .. ' ' .. ARGV[3])
return count
