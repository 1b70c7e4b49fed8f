-- Drop those executions from the index whose records are gone.
--
-- KEYS  index, then the hash of each execution
-- ARGV  clock, then the id of each execution
-- Returns how many were dropped.
-- Invariant: an execution that is there stays in the index, also one that came back under its old id.
local gone = {}
for i = 2, #ARGV do
  if redis.call('EXISTS', KEYS[i]) == 0 then gone[#gone + 1] = ARGV[i] end
end
if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
return #gone
