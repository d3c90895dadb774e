-- Takes out of the outbox the orders whose events are in the order log: of several sales in one call.
--
-- KEYS  two for each sale: sale, outbox
-- ARGV  for each sale the epoch in which they were reserved, how many orders, then their ids
-- Result: how many were taken out; an error, if there was one, once all that can be are out
--
-- An acknowledgement from before a rebuild says nothing of an order that was taken anew since.

assert(#KEYS > 0 and #KEYS % 2 == 0, 'settle: bad arity')

local settled, at, failure = 0, 1, nil
for i = 1, #KEYS, 2 do
  local last = at + 1 + tonumber(ARGV[at + 1])
  -- What is wrong with one sale is not the other sales' trouble.
  local ran, result = pcall(function()
    if redis.call('HGET', KEYS[i], 'epoch') ~= ARGV[at] then return 0 end
    return redis.call('ZREM', KEYS[i + 1], unpack(ARGV, at + 2, last))
  end)
  if ran then settled = settled + result else failure = result end
  at = last + 1
end
if failure then error(failure) end
return settled
