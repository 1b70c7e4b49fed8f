-- Claim the events of an execution that listeners have not been sent yet, or give the claim back.
--
-- KEYS  execution, log; to give it back also deadlines
-- ARGV  clock, execution id, owner (unique to one round of forwarding), lease ms, number of the last entry that
--       this owner has sent ('' at first), how many entries at most (0: give the claim back), to give it back also
--       the deadline that has a sweeper see to what is left, in how many ms
-- Returns {'send', entries}, {'done'} when all are sent, {'left'} when it was given back and some are not, or {'held'}
--   by another under a live claim.
-- Invariant: one forwards at a time, so the order is kept; what a dead one had claimed is sent again; where a claim is
--   given back and something is left, a sweeper has it to do.
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
local most = tonumber(ARGV[6])
local entries = redis.call('XRANGE', KEYS[2], (sent + 1) .. '-0', '+', 'COUNT', math.max(most, 1))
if #entries == 0 or most == 0 then
  redis.call('HDEL', KEYS[1], 'forwarder', 'forwarding_until')
  if #entries == 0 then return {'done'} end
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[8]), ARGV[7])
  return {'left'}
end
redis.call('HSET', KEYS[1], 'forwarder', ARGV[3], 'forwarding_until', now + tonumber(ARGV[4]))
return {'send', entries}
