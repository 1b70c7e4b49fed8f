-- Claim the events of an execution that listeners have not been sent yet, or give the claim back.
--
-- KEYS  execution, log
-- ARGV  clock, execution id, owner (unique to one round of forwarding), lease ms, number of the last entry that
--       this owner has sent ('' at first), how many entries at most
-- Returns {'send', entries}, {'done'} when all are sent, or {'held'} by another under a live claim.
-- Invariant: one forwards at a time, so the order is kept; what a dead one had claimed is sent again.
local now = clock(ARGV[1])
local state = redis.call('HMGET', KEYS[1], 'status', 'forwarded', 'forwarder', 'forwarding_until')
if not state[1] then return {'done'} end
local mine = state[3] == ARGV[3]
if state[3] and not mine and tonumber(state[4]) > now then return {'held'} end
local sent = tonumber(state[2] or 0)
if mine and ARGV[5] ~= '' then
  sent = tonumber(ARGV[5])
  redis.call('HSET', KEYS[1], 'forwarded', sent)
end
local entries = redis.call('XRANGE', KEYS[2], (sent + 1) .. '-0', '+', 'COUNT', ARGV[6])
if #entries == 0 then
  redis.call('HDEL', KEYS[1], 'forwarder', 'forwarding_until')
  return {'done'}
end
redis.call('HSET', KEYS[1], 'forwarder', ARGV[3], 'forwarding_until', now + tonumber(ARGV[4]))
return {'send', entries}
