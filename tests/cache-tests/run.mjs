// The outside judge: the public suite http-cache-tests, which nobody here wrote, against a truehit that runs.
//
//     node run.mjs path/to/truehit [--update]
//
// results.txt is what came out last, and is committed; reasons.json says for every test that fails why it does. The
// run fails if the results changed, if a failing test has no reason, or if a reason is given for a test that passes or
// does not exist. `--update` writes the results again, and fails only for the reasons.
//
// The suite names npm 6 as a dependency and never calls it; package.json puts a small package in its place.

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const HERE = path.dirname(fileURLToPath(import.meta.url))
const SUITE = path.join(HERE, 'node_modules', 'http-cache-tests')
const CONFIG = path.join(HERE, '..', '..', 'config', 'rfc9111.toml')
const RESULTS = path.join(HERE, 'results.txt')

// The kinds of tests that can fail, and what the suite means by them. Its third kind, `check`, only observes.
const KINDS = ['required', 'optimal']
// The suites whose tests send unsafe methods.
const UNSAFE = ['invalidation', 'method']
// A run takes 10 s, most of them the pauses of the tests; a machine under load may need a few times that.
const RUN_MAX_MS = 180_000
// How long a server may take to say where it listens.
const START_MAX_MS = 30_000

const children = []
const scratch = mkdtempSync(path.join(tmpdir(), 'truehit-conformance-'))

// Ends what this run started, and nothing else.
function clean () {
  children.forEach(child => child.kill('SIGKILL'))
  rmSync(scratch, { recursive: true, force: true })
}
process.on('exit', clean)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))

function fail (message) {
  console.error(message)
  process.exit(1)
}

// Starts a server and gives the port that it says it listens on.
function start (name, command, args, options, listening) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  return new Promise(resolve => {
    let printed = ''
    const late = setTimeout(() => fail(`${name} did not start within ${START_MAX_MS} ms:\n${printed}`), START_MAX_MS)
    const read = text => {
      printed += text
      const port = printed.match(listening)?.[1]
      if (port === undefined) return
      clearTimeout(late)
      resolve(port)
    }
    child.stdout.setEncoding('utf8').on('data', read)
    child.stderr.setEncoding('utf8').on('data', read)
    child.on('error', error => fail(`${name} could not be started: ${error.message}`))
    child.on('exit', (code, signal) => fail(`${name} ended early (${code ?? signal}):\n${printed}`))
  })
}

// Runs every test, and gives the suites with `failure` on the tests that failed.
async function judge (truehit) {
  const load = file => import(pathToFileURL(path.join(SUITE, file)))
  const origin = await start('the suite\'s server', process.execPath, ['server/server.mjs'], {
    cwd: SUITE,
    env: {
      ...process.env,
      npm_config_protocol: 'http',
      npm_config_port: '0',
      npm_config_pidfile: path.join(scratch, 'pid')
    }
  }, /Listening on \S+:(\d+)\//)
  const proxy = await start('truehit', truehit, [
    'run', '--config', CONFIG, '--origin', `http://127.0.0.1:${origin}`, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'
  ], {
    cwd: scratch,
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TRUEHIT_')))
  }, /"listen":"127\.0\.0\.1:(\d+)"/)

  const suites = [...(await load('tests/index.mjs')).default, (await load('tests/surrogate-control.mjs')).default]
  const { runTests, getResults } = await load('client/runner.mjs')
  const fetch = createRequire(path.join(SUITE, 'client', 'runner.mjs'))('node-fetch')
  const [through, around] = [proxy, origin].map(port => `http://127.0.0.1:${port}`)
  // What the suite tells its server about a test is no part of the test and goes around truehit. Tests in one chunk run
  // at once: the few with unsafe methods come last, by themselves, because targets may share an invalidation epoch.
  const direct = url => /\/(config|state)\/[^/]+$/.test(url) ? url.replace(through, around) : url
  const [last, first] = [true, false].map(unsafe => suites.filter(({ id }) => UNSAFE.includes(id) === unsafe))
  const chunk = first.flatMap(({ tests }) => tests).filter(test => !test.browser_only).length
  await runTests([...first, ...last], (url, init) => fetch(direct(url), init), false, through, chunk)

  const results = getResults()
  return suites.map(({ id, tests }) => ({
    id,
    tests: tests.filter(test => !test.browser_only).map(test => {
      const result = results[test.id]
      const failure = result === true ? undefined : (result ?? ['never run']).join(': ')
      return { id: test.id, kind: test.kind ?? 'required', failure }
    })
  }))
}

// The failing tests under their reasons, in the order of reasons.json, and what is wrong with the reasons.
function explain (suites) {
  const groups = JSON.parse(readFileSync(path.join(HERE, 'reasons.json'), 'utf8'))
  const tests = new Map(suites.flatMap(suite => suite.tests).map(test => [test.id, test]))
  const failing = new Map([...tests].filter(([, { kind, failure }]) => failure !== undefined && KINDS.includes(kind)))
  const faults = []
  const explained = new Set()
  for (const { reason, ids } of groups) {
    for (const id of ids) {
      if (explained.has(id)) faults.push(`${id} has two reasons`)
      explained.add(id)
      if (!tests.has(id)) faults.push(`${id} has a reason, but the suite has no such test: ${reason}`)
      else if (!failing.has(id)) faults.push(`${id} does not fail; remove its reason: ${reason}`)
    }
  }
  for (const [id, { kind, failure }] of failing) {
    if (!explained.has(id)) faults.push(`${id} (${kind}) fails and reasons.json does not say why: ${failure}`)
  }
  const told = groups.map(({ reason, ids }) => ({ reason, tests: ids.filter(id => failing.has(id)).map(id => tests.get(id)) }))
  return { faults, told: told.filter(({ tests }) => tests.length > 0) }
}

// What is committed: how many pass, suite by suite, and why the others do not.
function render (suites, told) {
  const row = cells => `${cells[0].padEnd(20)}${cells.slice(1).map(cell => cell.padStart(12)).join('')}`.trimEnd()
  const passed = tests => KINDS.map(kind => {
    const all = tests.filter(test => test.kind === kind)
    return all.length === 0 ? '-' : `${all.filter(test => test.failure === undefined).length}/${all.length}`
  })
  const { version } = JSON.parse(readFileSync(path.join(SUITE, 'package.json'), 'utf8'))
  return [
    `http-cache-tests ${version} against truehit with config/rfc9111.toml. Made by \`make conformance UPDATE=1\`.`,
    '',
    row(['passed of', ...KINDS]),
    ...suites.map(({ id, tests }) => [id, ...passed(tests)]).filter(([, ...cells]) => cells.some(cell => cell !== '-')).map(row),
    row(['all', ...passed(suites.flatMap(suite => suite.tests))]),
    ...told.flatMap(({ reason, tests }) => ['', ...wrap(reason), ...tests.map(({ id, kind }) => `  ${kind.padEnd(10)}${id}`)]),
    ''
  ].join('\n')
}

function wrap (text, width = 120) {
  return text.split(' ').reduce((lines, word) => {
    const line = lines.at(-1)
    if (line.length + 1 + word.length > width) return [...lines, word]
    return [...lines.slice(0, -1), line === '' ? word : `${line} ${word}`]
  }, [''])
}

// The lines that one side has and the other has not.
function difference (before, after) {
  const [old, now] = [before, after].map(text => text.split('\n'))
  return [
    ...old.filter(line => !now.includes(line)).map(line => `- ${line}`),
    ...now.filter(line => !old.includes(line)).map(line => `+ ${line}`)
  ].join('\n')
}

const [truehit, option] = process.argv.slice(2)
if (truehit === undefined || ![undefined, '--update'].includes(option)) fail('usage: node run.mjs path/to/truehit [--update]')
setTimeout(() => fail(`the suite did not end within ${RUN_MAX_MS} ms`), RUN_MAX_MS)

const suites = await judge(path.resolve(truehit))
const { faults, told } = explain(suites)
const results = render(suites, told)
if (option === '--update') {
  writeFileSync(RESULTS, results)
} else {
  const before = readFileSync(RESULTS, 'utf8')
  if (before !== results) faults.push(`results.txt is not what came out; if it should be, \`make conformance UPDATE=1\`:\n${difference(before, results)}`)
}
if (faults.length > 0) fail(faults.join('\n'))
console.log(results.split('\n').find(line => line.startsWith('all ')))
process.exit(0)
