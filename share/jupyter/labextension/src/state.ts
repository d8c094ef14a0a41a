/**
 * The clusters as the events tell them. Pure: an old state and an event make a new state.
 * Rows keep their place: the default cluster, then the others by name; the order changes only when
 * a cluster comes or goes.
 */
import type { ClusterEvent, ICluster, IClusters, IEngine, IHost } from './tokens.js';

export const UNKNOWN: IClusters = { known: false, host: {}, list: [], trouble: null };

/** The cluster that is meant when none is named. */
export const DEFAULT = 'default';

const names = new Intl.Collator(undefined, { numeric: true });

function ordered(list: readonly ICluster[]): ICluster[] {
  const first = (c: ICluster) => (c.id === DEFAULT ? 0 : 1);
  return [...list].sort((a, b) => first(a) - first(b) || names.compare(a.id, b.id));
}

/** Lay changed engines over known ones; the order is that of their numbers. */
function overlay(
  known: readonly IEngine[],
  changed: readonly (Partial<IEngine> & { id: number })[]
): IEngine[] {
  const all = new Map(known.map(engine => [engine.id, engine]));
  for (const change of changed) {
    const old = all.get(change.id);
    if (old) {
      all.set(change.id, { ...old, ...change });
    } else if (change.state) {
      all.set(change.id, { ...change, state: change.state });
    }
  }
  return [...all.values()].sort((a, b) => a.id - b.id);
}

function put(list: readonly ICluster[], cluster: ICluster): ICluster[] {
  const old = list.find(c => c.id === cluster.id);
  const merged = { ...cluster, engines: cluster.engines ?? old?.engines };
  return ordered([...list.filter(c => c.id !== cluster.id), merged]);
}

function patchEngines(
  state: IClusters,
  id: string,
  changed: readonly (Partial<IEngine> & { id: number })[]
): IClusters {
  return {
    ...state,
    list: state.list.map(c =>
      c.id === id ? { ...c, engines: overlay(c.engines ?? [], changed) } : c
    )
  };
}

export function apply(state: IClusters, event: ClusterEvent): IClusters {
  switch (event.type) {
    case 'snapshot':
      return {
        known: true,
        host: event.host,
        list: event.clusters.reduce<ICluster[]>((list, c) => {
          const engines = c.engines ?? state.list.find(old => old.id === c.id)?.engines;
          return put(list, { ...c, engines });
        }, []),
        trouble: null
      };
    case 'cluster':
      return { ...state, list: put(state.list, event.cluster) };
    case 'engine':
      return patchEngines(state, event.cluster, [event.engine]);
    case 'stats':
      return patchEngines(state, event.cluster, event.engines);
    case 'gone':
      return { ...state, list: state.list.filter(c => c.id !== event.id) };
    case 'problem':
      return { ...state, known: true, trouble: event.error };
  }
}

/** True while something is under way and the picture will change soon. */
export function isMoving(state: IClusters): boolean {
  return state.list.some(c => c.state === 'starting' || c.state === 'stopping');
}

/** Engines at work in a cluster. */
export function busyEngines(cluster: ICluster): number {
  return cluster.engines
    ? cluster.engines.filter(e => e.state === 'busy').length
    : (cluster.busy ?? 0);
}

/** Engines that died at work between two states of a cluster, not while starting or stopping. */
export function newlyDead(before: ICluster | undefined, after: ICluster): IEngine[] {
  if (!before || after.state === 'stopping') {
    return [];
  }
  const working = ['idle', 'busy', 'silent'];
  const alive = new Set(before.engines?.filter(e => working.includes(e.state)).map(e => e.id));
  return (after.engines ?? []).filter(e => e.state === 'dead' && alive.has(e.id));
}

/** A name that no cluster has: `default`, else `cluster-2`, `cluster-3`... */
export function freeName(list: readonly ICluster[]): string {
  const taken = new Set(list.map(c => c.id));
  if (!taken.has(DEFAULT)) {
    return DEFAULT;
  }
  let k = 2;
  while (taken.has(`cluster-${k}`)) {
    k++;
  }
  return `cluster-${k}`;
}

export const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;

/** The number that a field holds, or null where it is no number of engines. */
export function engineCount(text: string): number | null {
  const trimmed = text.trim();
  const n = Number(trimmed);
  return /^\d{1,4}$/.test(trimmed) && n >= 1 && n <= 1024 ? n : null;
}

/** What Start proposes: the setting, else an engine for each core. */
export function usualCount(setting: number, host: IHost): number {
  return setting > 0 ? setting : (host.cores ?? 2);
}
