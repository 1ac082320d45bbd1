-- Asks for PREFIX0 to PREFIX(COUNT - 1), the first most often: rank k with the probability ln(1 + 1/k) / ln(COUNT + 1),
-- which is Zipf's law with exponent 1 but for the first few ranks, and can be drawn without a table.
-- Arguments: PREFIX COUNT SEED.

dofile("figures.lua")
dofile("draw.lua")

local prefix, count

function init(args)
  prefix, count = args[1], tonumber(args[2])
  seed(tonumber(args[3]))
end

function request()
  return get(prefix .. math.floor((count + 1) ^ draw()) - 1)
end
