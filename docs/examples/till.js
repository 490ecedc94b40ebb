// Follows all payments with `GET /events`: nothing is lost, nothing comes twice. Node 18 or newer, no packages.
//
//   API_URL=http://127.0.0.1:8000 API_KEY=qrisd_test_... node till.js
//
// The key needs the scope events:read. Run one at a time; stop it as you like, even by the plug: till.jsonl knows the
// place. With a database of your own, writeDown() is one transaction: the event's id, and what the till makes of it.
'use strict'
const fs = require('node:fs')
const { setTimeout: sleep } = require('node:timers/promises')

// The book has one line for each event. A line that a power cut tore is cut off, and its event comes again.
const text = fs.existsSync('till.jsonl') ? fs.readFileSync('till.jsonl') : ''
if (text.length) fs.truncateSync('till.jsonl', text.lastIndexOf('\n') + 1)
const book = fs.openSync('till.jsonl', 'a')
const last = text.toString().split('\n').at(-2)

// 0 is before the very first event. To leave the past out, ask once with after=latest and begin with its next_after.
let after = last ? JSON.parse(last).event_id : 0

// The events behind `after`; waits up to 25 seconds for the next one.
async function ask() {
  const answer = await fetch(`${process.env.API_URL}/events?after=${after}&wait=25`, {
    headers: { authorization: `Bearer ${process.env.API_KEY}` },
    signal: AbortSignal.timeout(40000), // milliseconds, longer than it waits
  })
  if ([400, 401, 403, 404, 422].includes(answer.status)) {
    console.error('A person is needed:', await answer.text()) // a wrong key; a server from an older backup
    process.exit(1)
  }
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`)
  return (await answer.json()).data
}

// One line is both what the till keeps and where it is. If it cannot be written, this program ends.
function writeDown({ id, type, data: { order_id, status, exception } }) {
  fs.appendFileSync(book, JSON.stringify({ event_id: id, order_id, type, status, exception }) + '\n')
  fs.fsyncSync(book)
  after = id
  // Once it is written down: a crash just here leaves this out, so look into the book after a start.
  if (type === 'payment.paid' && exception === null) console.log(order_id, 'is paid')
}

async function follow() {
  let pause = 1000
  while (true) {
    let events
    try {
      events = await ask()
    } catch (error) {
      console.error(`The server is away (${error.message}); asking again`)
      await sleep(pause * (0.5 + Math.random() / 2)) // so that not all tills come back in the same moment
      pause = Math.min(pause * 2, 30000)
      continue
    }
    pause = 1000
    events.forEach(writeDown)
  }
}

follow()
