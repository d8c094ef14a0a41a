/** States, sizes and ages in words, through the translator. */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { ICluster, IClusters, IEngine } from './tokens.js';
import { newlyDead } from './state.js';

/** "running 2/2": what the row says, true of what a task would meet. */
export function clusterState(cluster: ICluster, trans: TranslationBundle): string {
  const count = `${cluster.ready}/${cluster.n}`;
  switch (cluster.state) {
    case 'starting':
      return trans.__('starting %1', count);
    case 'running':
      return trans.__('running %1', count);
    case 'degraded':
      return trans.__('degraded %1', count);
    case 'stopping':
      return trans.__('stopping');
    case 'failed':
      return trans.__('failed');
  }
}

export function engineState(engine: IEngine, trans: TranslationBundle): string {
  switch (engine.state) {
    case 'spawned':
      return trans.__('starting');
    case 'idle':
      return trans.__('idle');
    case 'busy':
      return trans.__('busy');
    case 'silent':
      return trans.__('silent');
    case 'leaving':
      return trans.__('leaving');
    case 'dead':
      return trans.__('dead');
  }
}

/** Why an engine ended, as far as it is known, in a line. */
export function engineEnd(engine: IEngine, trans: TranslationBundle): string {
  const exit = engine.exit;
  if (exit?.cause) {
    const [line = ''] = exit.cause.split('\n');
    return line.length > 160 ? `${line.slice(0, 159)}…` : line;
  }
  if (exit?.signal) {
    return trans.__('killed by signal %1', exit.signal);
  }
  if (exit?.code !== undefined && exit.code !== null) {
    return trans.__('ended with exit code %1', exit.code);
  }
  return trans.__('ended, for a reason that is not known');
}

/** 212 MB: three digits are enough in a narrow column. Nothing measured yet is a dash. */
export function bytes(n: number | null | undefined): string {
  if (!n) {
    return '–';
  }
  const mega = n / 1e6;
  return mega < 1000 ? `${Math.round(mega)} MB` : `${(mega / 1000).toPrecision(3)} GB`;
}

export function percent(n: number | null | undefined): string {
  return n === null || n === undefined ? '–' : `${Math.round(n)} %`;
}

/** Where it runs, since when, for whom. */
export function clusterFacts(cluster: ICluster, now: number, trans: TranslationBundle): string {
  const facts = [
    !cluster.launcher || cluster.launcher === 'local' ? trans.__('This machine') : cluster.launcher
  ];
  const began = cluster.since ? Date.parse(cluster.since) : NaN;
  if (!Number.isNaN(began)) {
    facts.push(age(Math.max(0, now - began), trans));
  }
  if (cluster.clients) {
    facts.push(trans._n('%1 client', '%1 clients', cluster.clients));
  }
  if (cluster.attached_to) {
    facts.push(trans.__('ends with process %1', cluster.attached_to));
  }
  return facts.join(' · ');
}

function age(ms: number, trans: TranslationBundle): string {
  const minutes = Math.floor(ms / 60000);
  if (minutes < 1) {
    return trans.__('just started');
  }
  if (minutes < 120) {
    return trans.__('%1 min', minutes);
  }
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? trans.__('%1 h', hours) : trans.__('%1 days', Math.floor(hours / 24));
}

/** What a listener who cannot see the panel should be told about a change. */
export function news(before: IClusters, after: IClusters, trans: TranslationBundle): string[] {
  const told: string[] = [];
  for (const cluster of after.list) {
    const old = before.list.find(c => c.id === cluster.id);
    for (const engine of newlyDead(old, cluster)) {
      told.push(
        trans.__(
          'Cluster %1: engine %2 is dead, %3.',
          cluster.id,
          engine.id,
          engineEnd(engine, trans)
        )
      );
    }
    if (old?.state === cluster.state && old.ready === cluster.ready && old.n === cluster.n) {
      continue;
    }
    if (cluster.state === 'starting') {
      told.push(trans.__('Cluster %1: %2 of %3 engines.', cluster.id, cluster.ready, cluster.n));
    } else if (cluster.state === 'running') {
      told.push(
        trans._n(
          'Cluster %2: %1 engine is running.',
          'Cluster %2: %1 engines are running.',
          cluster.ready,
          cluster.id
        )
      );
    } else {
      told.push(trans.__('Cluster %1: %2.', cluster.id, clusterState(cluster, trans)));
    }
  }
  for (const old of before.list) {
    if (!after.list.some(c => c.id === old.id)) {
      told.push(trans.__('Cluster %1 has stopped.', old.id));
    }
  }
  return told;
}
