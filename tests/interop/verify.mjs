// Believes a token by npm `jose` and the key set alone. Reads {jwks_uri, token, options} on standard input, prints the
// header and claims, or ends with the reason why not.
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { text } from 'node:stream/consumers'

const { jwks_uri, token, options } = JSON.parse(await text(process.stdin))
try {
  const { payload, protectedHeader } = await jwtVerify(token, createRemoteJWKSet(new URL(jwks_uri)), options)
  console.log(JSON.stringify({ header: protectedHeader, claims: payload }))
} catch (trouble) {
  console.log(JSON.stringify({ refused: trouble.code ?? trouble.message }))
}
