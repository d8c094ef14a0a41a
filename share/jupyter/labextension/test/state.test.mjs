import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  apply,
  busyEngines,
  engineCount,
  freeName,
  isMoving,
  NAME,
  newlyDead,
  UNKNOWN,
  usualCount
} from '../lib/state.js';
import { bytes, clusterState, engineEnd, news } from '../lib/words.js';

/** A translator that leaves every text as it is. */
const trans = {
  __: (text, ...args) => fill(text, args),
  _n: (one, many, n, ...args) => fill(n === 1 ? one : many, [n, ...args])
};

function fill(text, args) {
  return text.replace(/%(\d)/g, (_, k) => String(args[k - 1]));
}

function engine(id, state = 'idle', more = {}) {
  return { id, state, ...more };
}

function cluster(id, state, ready, n, more = {}) {
  return { id, state, ready, n, ...more };
}

function snapshot(...clusters) {
  return apply(UNKNOWN, { type: 'snapshot', host: { cores: 4 }, clusters });
}

test('nothing is known before the first snapshot', () => {
  assert.equal(UNKNOWN.known, false);
  assert.equal(snapshot().known, true);
});

test('the default cluster stands first, the others in natural order', () => {
  const names = ['job-10', 'default', 'job-2', 'a'];
  const state = snapshot(...names.map(id => cluster(id, 'running', 1, 1)));
  assert.deepEqual(
    state.list.map(c => c.id),
    ['default', 'a', 'job-2', 'job-10']
  );
});

test('a cluster event without engines keeps those that are known', () => {
  const before = snapshot(
    cluster('default', 'starting', 0, 2, { engines: [engine(0, 'spawned')] })
  );
  const after = apply(before, { type: 'cluster', cluster: cluster('default', 'starting', 1, 2) });
  assert.equal(after.list[0].ready, 1);
  assert.deepEqual(after.list[0].engines, [engine(0, 'spawned')]);
});

test('a cluster event with engines drops those that left', () => {
  const before = snapshot(cluster('default', 'running', 2, 2, { engines: [engine(0), engine(1)] }));
  const now = cluster('default', 'running', 1, 1, { engines: [engine(1)] });
  const after = apply(before, { type: 'cluster', cluster: now });
  assert.deepEqual(after.list[0].engines, [engine(1)]);
});

test('engine and stats events lay what they bring over what is known', () => {
  let state = snapshot(cluster('default', 'running', 1, 1, { engines: [engine(1)] }));
  state = apply(state, { type: 'engine', cluster: 'default', engine: engine(0, 'spawned') });
  state = apply(state, { type: 'stats', cluster: 'default', engines: [{ id: 1, cpu: 97 }] });
  assert.deepEqual(state.list[0].engines, [engine(0, 'spawned'), engine(1, 'idle', { cpu: 97 })]);
});

test('stats of an engine that is not known and an event of no cluster change nothing', () => {
  const before = snapshot(cluster('default', 'running', 1, 1, { engines: [engine(0)] }));
  let after = apply(before, { type: 'stats', cluster: 'default', engines: [{ id: 9, cpu: 1 }] });
  after = apply(after, { type: 'engine', cluster: 'other', engine: engine(3) });
  assert.deepEqual(after, before);
});

test('a state is never changed in place', () => {
  const before = snapshot(cluster('default', 'running', 1, 1, { engines: [engine(0)] }));
  const copy = structuredClone(before);
  apply(before, { type: 'stats', cluster: 'default', engines: [{ id: 0, cpu: 50 }] });
  apply(before, { type: 'gone', id: 'default' });
  assert.deepEqual(before, copy);
});

test('trouble is told and goes with the next snapshot', () => {
  const trouble = { code: 'program-missing', message: 'not found' };
  const state = apply(UNKNOWN, { type: 'problem', error: trouble });
  assert.equal(state.trouble, trouble);
  assert.equal(apply(state, { type: 'snapshot', host: {}, clusters: [] }).trouble, null);
});

test('a picture moves while something starts or stops', () => {
  assert.equal(isMoving(snapshot(cluster('a', 'running', 1, 1))), false);
  assert.equal(
    isMoving(snapshot(cluster('a', 'running', 1, 1), cluster('b', 'starting', 0, 1))),
    true
  );
});

test('engines at work are counted from the engines, else as told', () => {
  assert.equal(busyEngines(cluster('a', 'running', 2, 2, { busy: 2 })), 2);
  const engines = [engine(0, 'busy'), engine(1)];
  assert.equal(busyEngines(cluster('a', 'running', 2, 2, { busy: 2, engines })), 1);
});

test('an engine is newly dead once, and not when its cluster starts or stops', () => {
  const before = cluster('a', 'running', 2, 2, { engines: [engine(0), engine(1)] });
  const dead = { engines: [engine(0), engine(1, 'dead')] };
  const after = cluster('a', 'degraded', 1, 2, dead);
  assert.deepEqual(
    newlyDead(before, after).map(e => e.id),
    [1]
  );
  assert.deepEqual(newlyDead(after, after), []);
  assert.deepEqual(newlyDead(before, cluster('a', 'stopping', 1, 2, dead)), []);
  assert.deepEqual(newlyDead(undefined, after), []);
  const young = cluster('a', 'starting', 1, 2, { engines: [engine(0), engine(1, 'spawned')] });
  assert.deepEqual(newlyDead(young, after), []);
});

test('a free name is proposed', () => {
  assert.equal(freeName([]), 'default');
  assert.equal(freeName([{ id: 'default' }, { id: 'cluster-2' }]), 'cluster-3');
});

test('names are what pxcluster takes, and never look like an option', () => {
  for (const good of ['default', 'a', 'job-1', 'a.b_c', 'x'.repeat(64)]) {
    assert.match(good, NAME);
  }
  for (const bad of ['', 'a/b', '-n', '.x', 'a b', 'ä', 'x'.repeat(65)]) {
    assert.doesNotMatch(bad, NAME);
  }
});

test('a number of engines is whole and positive', () => {
  assert.equal(engineCount(' 8 '), 8);
  for (const bad of ['', '0', '-3', '2.5', '1e3', '1025', 'two']) {
    assert.equal(engineCount(bad), null, bad);
  }
});

test('Start proposes the setting, else a core each', () => {
  assert.equal(usualCount(3, { cores: 8 }), 3);
  assert.equal(usualCount(0, { cores: 8 }), 8);
  assert.equal(usualCount(0, {}), 2);
});

test('states in words', () => {
  assert.equal(clusterState(cluster('a', 'starting', 1, 2), trans), 'starting 1/2');
  assert.equal(clusterState(cluster('a', 'degraded', 2, 3), trans), 'degraded 2/3');
  assert.equal(engineEnd(engine(0, 'dead', { exit: { signal: 9 } }), trans), 'killed by signal 9');
  assert.equal(
    engineEnd(engine(0, 'dead', { exit: { code: 3 } }), trans),
    'ended with exit code 3'
  );
  const long = { exit: { cause: `${'x'.repeat(200)}\nTraceback` } };
  assert.equal(engineEnd(engine(0, 'dead', long), trans), `${'x'.repeat(159)}…`);
  assert.equal(bytes(88_400_000), '88 MB');
  assert.equal(bytes(2_345_000_000), '2.35 GB');
  assert.equal(bytes(null), '–');
  assert.equal(bytes(0), '–');
});

test('news tells each change once', () => {
  const none = snapshot();
  const one = snapshot(cluster('default', 'starting', 1, 2));
  const both = snapshot(cluster('default', 'running', 2, 2, { engines: [engine(0), engine(1)] }));
  const dead = { signal: 9, cause: 'killed by signal 9' };
  const lost = snapshot(
    cluster('default', 'degraded', 1, 2, {
      engines: [engine(0), engine(1, 'dead', { exit: dead })]
    })
  );
  assert.deepEqual(news(none, one, trans), ['Cluster default: 1 of 2 engines.']);
  assert.deepEqual(news(one, one, trans), []);
  assert.deepEqual(news(one, both, trans), ['Cluster default: 2 engines are running.']);
  assert.deepEqual(news(both, lost, trans), [
    'Cluster default: engine 1 is dead, killed by signal 9.',
    'Cluster default: degraded 1/2.'
  ]);
  assert.deepEqual(news(lost, none, trans), ['Cluster default has stopped.']);
});
