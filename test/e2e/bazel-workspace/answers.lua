-- What it prints shows that the interpreter works: integers, floats, strings, tables, closures and coroutines.
local function primes(limit)
  return coroutine.wrap(function()
    local composite = {}
    for n = 2, limit do
      if not composite[n] then
        coroutine.yield(n)
        for multiple = n * n, limit, n do composite[multiple] = true end
      end
    end
  end)
end

local sum, count = 0, 0
for p in primes(10000) do sum, count = sum + p, count + 1 end
print(("%d primes below 10000, whose sum is %d"):format(count, sum))
print(("2^53 + 1 = %d, and as a float %.0f"):format((1 << 53) + 1, 2.0 ^ 53 + 1))
print((("remote execution"):gsub("%w+", function(word) return word:reverse() end)))
