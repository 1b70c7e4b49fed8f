-- Open an execution whose actions start as their own needs end: the turn of those that wait for nobody has come.
--
-- KEYS  execution, deadlines, log, met, ready
-- ARGV  clock, execution id, ms until the sweeper looks after the publishing, a name unique to this call, number
--       of actions whose turn has come, their ids, then, of those that wait and of which some needs have ended
--       already (a rerun takes them over), id and number of these
-- Returns {1, head} when this call opened it (also when it is repeated), {0} when another did or nothing may start.
-- Invariant: an execution is opened once; open counts the actions whose turn has come and that have not ended.
local now = clock(ARGV[1])
local state = redis.call('HMGET', KEYS[1], 'status', 'cursor', 'opener', 'halted', 'cancel', 'paused')
if state[1] ~= 'running' then return {0} end
if tonumber(state[2]) == 0 and state[3] == ARGV[4] then return {1, head_of(KEYS[1])} end
if tonumber(state[2]) ~= -1 or state[4] or state[5] or state[6] then return {0} end
local count = tonumber(ARGV[5])
for i = 6, 5 + count do redis.call('ZADD', KEYS[5], now, ARGV[i]) end
for i = 6 + count, #ARGV, 2 do redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'cursor', 0, 'open', count, 'opener', ARGV[4], 'waiting', 0)
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[2] .. '|')
return {1, head_of(KEYS[1])}
