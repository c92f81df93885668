-- Authorize, follow, redeem: a request is whatever waits longest to be sent; a token answer is one piece of work.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "result.lua")

function init(args)
   local plan = dofile(args[1])
   finished, refused = 0, 0
   waiting = {}
   redirect, body = plan.redirect, plan.body
   browser = { ["Cookie"] = plan.cookie }
   app = plan.headers
   begin = wrk.format("GET", plan.authorize, browser)
end

function request()
   return table.remove(waiting) or begin
end

local function location(headers)
   for name, value in pairs(headers) do
      if name:lower() == "location" then return value end
   end
   return ""
end

function response(status, headers)
   if status == 200 then
      finished = finished + 1
      return
   end
   local target = location(headers)
   local code = target:sub(1, #redirect) == redirect and target:match("[?&]code=([^&#]+)")
   if code then
      table.insert(waiting, wrk.format("POST", "/token", app, body .. "&code=" .. code))
   elseif status == 303 and target:sub(1, 10) == "/authorize" then
      table.insert(waiting, wrk.format("GET", target, browser))
   else
      refused = refused + 1
   end
end
