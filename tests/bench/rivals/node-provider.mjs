// npm oidc-provider as its documentation sets it up: one process, its own in-memory adapter, JWT access tokens through
// resource indicators. Whoever arrives is signed in and consents at once, so that a session and a grant are there.
import http from 'node:http'
import { generateKeyPairSync } from 'node:crypto'
import Provider from '../../interop/node_modules/oidc-provider/lib/index.js'

const { port, audience, scopes, client, redirect } = JSON.parse(process.argv[2])
const key = (type, options, kid, alg) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' })

const provider = new Provider(`http://localhost:${port}`, {
  clients: [
    { ...client, client_id: 'service', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
    { ...client, client_id: 'web-app', grant_types: ['authorization_code'], redirect_uris: [redirect], response_types: ['code'] },
  ],
  jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'rsa', 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ec', 'ES256')] },
  cookies: { keys: ['a benchmark signs cookies too'] },
  pkce: { required: () => true },
  scopes: ['openid'],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: scopes.join(' '), audience, accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
    },
  },
  ttl: { AccessToken: 600, AuthorizationCode: 60, ClientCredentials: 600, IdToken: 300, Interaction: 600, Session: 43200, Grant: 43200 },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
})

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next()
  const grant = new provider.Grant({ clientId: 'web-app', accountId: 'alice' })
  grant.addOIDCScope('openid')
  grant.addResourceScope(audience, scopes.join(' '))
  await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: 'alice' }, consent: { grantId: await grant.save() } })
  ctx.respond = false
})
http.createServer(provider.callback()).listen(port, '127.0.0.1')
