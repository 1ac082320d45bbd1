-- Asks for PREFIX0 to PREFIX(COUNT - 1), each as likely. Arguments: PREFIX COUNT SEED.

dofile("figures.lua")
dofile("draw.lua")

local prefix, count

function init(args)
  prefix, count = args[1], tonumber(args[2])
  seed(tonumber(args[3]))
end

function request()
  return get(prefix .. math.floor(draw() * count))
end
