-- Renew the leases that one worker process holds in one execution.
--
-- KEYS  execution, actions, deadlines
-- ARGV  clock, execution id, lease ms, when the execution was created that the leases are of ('' = not asked), then
--       action id, token of each lease
-- Returns the ids of the actions whose lease is held no more (ended, or gone to another, or the id to another execution).
-- Invariant: a lease is renewed only by its holder, and never for an action that has ended.
local now = clock(ARGV[1])
local other = ARGV[4] ~= '' and redis.call('HGET', KEYS[1], 'created_at') ~= ARGV[4]
local gone = {}
for i = 5, #ARGV, 2 do
  local record = record_of(KEYS[2], ARGV[i])
  if not other and record.status == 'running' and not record.phase and record.token == tonumber(ARGV[i + 1]) then
    record.lease = now + tonumber(ARGV[3])
    redis.call('HSET', KEYS[2], ARGV[i], cjson.encode(record))
    redis.call('ZADD', KEYS[3], record.lease, ARGV[2] .. '|' .. ARGV[i])
  else
    gone[#gone + 1] = ARGV[i]
  end
end
return gone
