-- Numbers from 0 to just below 1, the same for each seed: the generator of Park and Miller, exact in doubles.

local state = 1

function seed(number)
  state = (number * 7919 + 1) % 2147483646 + 1
end

function draw()
  state = state * 16807 % 2147483647
  return (state - 1) / 2147483646
end

-- A request for a target, written out: that is cheaper than `wrk.format`.
function get(target, fields)
  return "GET " .. target .. " HTTP/1.1\r\nHost: peers.test\r\n" .. (fields or "") .. "\r\n"
end
