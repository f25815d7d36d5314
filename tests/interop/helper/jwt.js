// Just enough of JSON Web Tokens for HS256.

import { createHmac, timingSafeEqual } from 'node:crypto'

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function signature(head, body, secret) {
  return createHmac('sha256', secret).update(`${head}.${body}`).digest()
}

export function sign(claims, secret) {
  let head = encode({ alg: 'HS256', typ: 'JWT' })
  let body = encode(claims)
  return `${head}.${body}.${signature(head, body, secret).toString('base64url')}`
}

/** The claims, or `undefined` if the token is not ours. */
export function verify(token, secret) {
  let [head, body, sign] = String(token).split('.')
  if (!sign) return undefined
  let given = Buffer.from(sign, 'base64url')
  let right = signature(head, body, secret)
  if (given.length !== right.length || !timingSafeEqual(given, right)) {
    return undefined
  }
  let claims = JSON.parse(Buffer.from(body, 'base64url'))
  if (claims.exp && claims.exp * 1000 < Date.now()) return undefined
  return claims
}
