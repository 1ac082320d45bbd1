-- Asks for one target in COUNT variants, each as likely. Arguments: TARGET COUNT SEED.

dofile("figures.lua")
dofile("draw.lua")

local target, count

function init(args)
  target, count = args[1], tonumber(args[2])
  seed(tonumber(args[3]))
end

function request()
  return get(target, "X-Variant: " .. math.floor(draw() * count) .. "\r\n")
end
