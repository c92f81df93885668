-- A password for each waiting sign-in; the form is one browser's, so its CSRF token serves them all.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "result.lua")

function init(args)
   local plan = dofile(args[1])
   finished, refused, number = 0, 0, 0
   headers, bodies, signins = plan.headers, plan.bodies, plan.signins
end

function request()
   number = number + 1
   local body = bodies[number % #bodies + 1]
   return wrk.format("POST", "/login?signin=" .. (signins[number] or "none-left"), headers, body)
end

function response(status)
   if status == 303 then finished = finished + 1 else refused = refused + 1 end
end
