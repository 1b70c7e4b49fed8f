-- Look after what was sent and not accepted in time; ever less often.
--
-- KEYS  execution, sent, deadlines
-- ARGV  clock, execution id, ms after the first look until the next, at most so many ms between two
-- Returns the message and the number of this look; nothing when it was accepted, or nothing is known of it.
-- Invariant: a deadline leaves the set only when nothing is behind it.
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
local message = redis.call('HGET', KEYS[2], 'message')
if not message then
  redis.call('ZREM', KEYS[3], ARGV[2] .. '|')
  return false
end
local looks = redis.call('HINCRBY', KEYS[2], 'looks', 1)
local pause = math.min(tonumber(ARGV[3]) * 2 ^ (looks - 1), tonumber(ARGV[4]))
redis.call('ZADD', KEYS[3], clock(ARGV[1]) + math.floor(pause), ARGV[2] .. '|')
return {message, looks}
