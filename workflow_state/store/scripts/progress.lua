-- Note how far an attempt has come.
--
-- KEYS  execution, actions, progress
-- ARGV  clock, execution id, action id, token, fraction (0 to 1), message,
--       when the execution was created that the attempt is of ('' = not asked)
-- Returns 1, or 0 when the attempt is not the token's any more or has ended.
-- Invariant: only the holder of the token writes.
if ARGV[7] ~= '' and redis.call('HGET', KEYS[1], 'created_at') ~= ARGV[7] then return 0 end
local record = record_of(KEYS[2], ARGV[3])
if record.status ~= 'running' or record.phase or record.token ~= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[3], ARGV[3], cjson.encode({
  fraction = tonumber(ARGV[5]), message = ARGV[6], attempt = record.attempt, at = clock(ARGV[1])}))
return 1
