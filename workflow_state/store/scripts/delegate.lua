-- Leave an attempt to a remote service that has been asked for it: no lease, no worker, a time to answer in.
--
-- KEYS  execution, actions, deadlines
-- ARGV  clock, execution id, action id, token, ms until an answer must be there,
--       when the execution was created that the attempt is of ('' = not asked)
-- Returns 1, or 0 when the attempt is not the token's any more or has ended (an answer may be quicker).
-- Invariant: only the holder of the token may leave it.
if ARGV[6] ~= '' and redis.call('HGET', KEYS[1], 'created_at') ~= ARGV[6] then return 0 end
local record = record_of(KEYS[2], ARGV[3])
if record.status ~= 'running' or record.phase or record.token ~= tonumber(ARGV[4]) then return 0 end
record.phase, record.lease = 'remote', nil
record.due = clock(ARGV[1]) + tonumber(ARGV[5])
redis.call('HSET', KEYS[2], ARGV[3], cjson.encode(record))
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('ZADD', KEYS[3], record.due, ARGV[2] .. '|' .. ARGV[3])
return 1
