// Takes qrisd's callbacks: checks who sent them, keeps each once, answers at once. Node 18 or newer, no packages.
//
//   CALLBACK_SECRETS="whsec_..." node receiver.js
//
// CALLBACK_SECRETS is what `qrisd callbacks secret` prints; while the secret is changed, both with a space between.
// It listens on http://127.0.0.1:9000 (PORT for another): put a web server with https before it, or take the functions.
// With a database of your own, keep() is one transaction there: the webhook-id in a unique column, and the payment.
'use strict'
const { createHmac, timingSafeEqual } = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')

const secrets = (process.env.CALLBACK_SECRETS || '').split(/\s+/).filter(Boolean)
const keys = secrets.map((secret) => Buffer.from(secret.replace(/^whsec_/, ''), 'base64'))
if (!keys.length || keys.some((key) => key.length < 24)) {
  throw new Error('CALLBACK_SECRETS is not what `qrisd callbacks secret` prints')
}

// Signed with a secret of ours, less than five minutes ago. `body` is the bytes as they came, before any parsing.
function isGenuine(headers, body) {
  const timestamp = headers['webhook-timestamp'] || ''
  if (!/^[0-9]{1,12}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false
  const sent = (headers['webhook-signature'] || '').split(' ').map((one) => Buffer.from(one)) // two while it is changed
  return keys.some((key) => {
    const hmac = createHmac('sha256', key).update(`${headers['webhook-id']}.${timestamp}.`).update(body)
    const ours = Buffer.from('v1,' + hmac.digest('base64'))
    return sent.some((one) => one.length === ours.length && timingSafeEqual(one, ours))
  })
}

// One line for each callback. A line that a power cut tore was never answered, so it is cut off and comes again.
const text = fs.existsSync('callbacks.jsonl') ? fs.readFileSync('callbacks.jsonl') : ''
if (text.length) fs.truncateSync('callbacks.jsonl', text.lastIndexOf('\n') + 1)
const file = fs.openSync('callbacks.jsonl', 'a')
const seen = new Set()
const newest = new Map() // payment -> its highest sequence
for (const line of text.toString().split('\n').slice(0, -1)) remember(JSON.parse(line))

// Callbacks may overtake each other: the highest sequence says how a payment stands. True when this is it.
function remember({ webhook_id, id, sequence }) {
  seen.add(webhook_id)
  if (sequence <= (newest.get(id) || 0)) return false
  newest.set(id, sequence)
  return true
}

// True when it is news. On the disk before we answer; if that fails, this program ends and the callback is sent again.
function keep(webhook_id, { sequence, data: { id, order_id, status, exception } }) {
  if (seen.has(webhook_id)) return false // our answer was lost, or somebody replayed it
  const line = { webhook_id, id, sequence, order_id, status, exception }
  fs.appendFileSync(file, JSON.stringify(line) + '\n')
  fs.fsyncSync(file)
  return remember(line)
}

const server = http.createServer((request, response) => {
  const parts = []
  let size = 0
  request.on('data', (part) => ((size += part.length) > 1e6 ? request.destroy() : parts.push(part)))
  request.on('end', () => {
    const body = Buffer.concat(parts)
    if (!isGenuine(request.headers, body)) return response.writeHead(401).end()
    const event = JSON.parse(body)
    const news = event.type.startsWith('payment.') && keep(request.headers['webhook-id'], event)
    response.writeHead(200).end() // slow work (mail, stock) comes after this; a crash just here leaves it out
    if (!news) return
    const { order_id, status, exception } = event.data
    console.log(order_id, 'is', status, exception || '') // PAID without an exception: the goods may go
  })
})
server.requestTimeout = 10000 // milliseconds for a sender that stalls
server.listen(Number(process.env.PORT || 9000), '127.0.0.1')
