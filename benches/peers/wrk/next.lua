-- Asks for PREFIX and a number that grows, so that no target comes twice. Arguments: PREFIX FIRST.

dofile("figures.lua")
dofile("draw.lua")

local prefix, number

function init(args)
  prefix, number = args[1], tonumber(args[2])
end

function request()
  number = number + 1
  return get(prefix .. string.format("%d", number))
end
