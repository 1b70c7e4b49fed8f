-- Note that a part of a level has been published: as long as parts are, the sweeper may wait. A wide level's parts
-- stand in the same queue as its actions, and would be published twice by one that looks too early.
--
-- KEYS  execution, deadlines, parts
-- ARGV  clock, execution id, level, part, ms until the sweeper looks at the execution again
-- Returns how many parts are still to be published.
-- Invariant: a part that a worker died over stays in the set, and is found there.
if tonumber(redis.call('HGET', KEYS[1], 'cursor')) ~= tonumber(ARGV[3]) then return 0 end
redis.call('SREM', KEYS[3], ARGV[4])
local left = redis.call('SCARD', KEYS[3])
if tonumber(redis.call('HGET', KEYS[1], 'open')) > 0 then
  redis.call('ZADD', KEYS[2], clock(ARGV[1]) + tonumber(ARGV[5]), ARGV[2] .. '|')
end
return left
