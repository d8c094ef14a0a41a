/**
 * What the parts of this extension share: the shapes that `pxcluster --json` prints, and the
 * tokens by which one plugin finds another.
 */
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

/** Why something failed, in the words of pxcluster. */
export interface IProblem {
  code: string;
  message: string;
  cause?: string | null;
  fix?: string[] | null;
  log?: string | null;
}

export type EngineState = 'spawned' | 'idle' | 'busy' | 'silent' | 'leaving' | 'dead';

export interface IEngine {
  id: number;
  host?: string;
  pid?: number | null;
  state: EngineState;
  /** Percent of one core. */
  cpu?: number | null;
  /** Bytes. */
  rss?: number | null;
  running?: number;
  queued?: number;
  done?: number;
  failed?: number;
  exit?: { signal?: number | null; code?: number | null; cause?: string | null } | null;
}

export type ClusterState = 'starting' | 'running' | 'degraded' | 'stopping' | 'failed';

export interface ICluster {
  id: string;
  launcher?: string;
  state: ClusterState;
  /** Engines asked for. */
  n: number;
  /** Engines that have registered and answer. */
  ready: number;
  /** Start time, ISO 8601. */
  since?: string;
  host?: string;
  clients?: number;
  busy?: number;
  queued?: number;
  done?: number;
  failed?: number;
  error?: IProblem | null;
  attached_to?: number | null;
  engines?: IEngine[];
}

export interface IHost {
  cores?: number;
  free_bytes?: number;
}

/** One line of `pxcluster events --json`, or word from the server that there are none. */
export type ClusterEvent =
  | { type: 'snapshot'; host: IHost; clusters: ICluster[] }
  | { type: 'cluster'; cluster: ICluster }
  | { type: 'engine'; cluster: string; engine: IEngine }
  | { type: 'stats'; cluster: string; engines: (Partial<IEngine> & { id: number })[] }
  | { type: 'gone'; id: string }
  | { type: 'problem'; error: IProblem };

/** All that is known about clusters. Never changed in place: each change makes a new one. */
export interface IClusters {
  /** False until the first answer. */
  readonly known: boolean;
  readonly host: IHost;
  /** The default one first, then in natural order of their names. */
  readonly list: readonly ICluster[];
  /** Why nothing can be known or done at present. */
  readonly trouble: IProblem | null;
}

export type Action = 'start' | 'stop' | 'scale' | 'interrupt' | 'restart';

export interface ILog {
  text: string;
  log?: string | null;
}

/** The key of the cluster that is only about to be, where errors and actions are kept by id. */
export const NEW = '';

/** One way to start engines; `why` says what is missing where it is not `ok`. */
export interface ILauncher {
  name: string;
  ok: boolean;
  why: string | null;
}

/** What a start may say besides a number and a name. */
export interface IStartOptions {
  /** Where engines run: `ssh:host=4`, `slurm`…; left out: on this machine. */
  engines?: string;
  /** A new engine takes the place of one that dies. */
  restart?: boolean;
}

export interface IClusterModel {
  readonly clusters: IClusters;
  /** What this browser has asked for and not yet been answered, by cluster. */
  readonly asked: ReadonlyMap<string, Action>;
  /** What went wrong with what this browser asked for, by cluster. */
  readonly problems: ReadonlyMap<string, IProblem>;
  /** Emitted after each change of the above. */
  readonly changed: ISignal<IClusterModel, void>;
  /** Emitted with the state before and after each change of the clusters. */
  readonly moved: ISignal<IClusterModel, { before: IClusters; after: IClusters }>;

  /** Each of these resolves when it is done or has failed: `problems` then says why. */
  start(n: number, id?: string, options?: IStartOptions): Promise<boolean>;
  /** The ways to start engines, and why one cannot be used here. */
  launchers(): Promise<ILauncher[]>;
  /** The folder in which a new cluster's engines work, as the server's contents has it. */
  folder: () => string | undefined;
  stop(id: string): Promise<boolean>;
  scale(id: string, n: number): Promise<boolean>;
  interrupt(id: string, engines?: number[]): Promise<boolean>;
  restart(id: string, engines?: number[]): Promise<boolean>;
  refresh(): Promise<void>;
  /** Forget what went wrong with a cluster. */
  dismiss(id: string): void;
  /** The end of a log: an engine's or, without one, the controller's. Rejects with a problem. */
  log(id: string, engine?: number): Promise<ILog>;
}

export const IClusterModel = new Token<IClusterModel>(
  'px-cluster:IClusterModel',
  'The clusters of this machine and what can be done with them.'
);

export interface IClusterSettings {
  readonly defaultEngines: number;
  readonly confirmStop: 'busy' | 'always' | 'never';
  readonly statusBar: boolean;
  readonly notify: boolean;
  readonly changed: ISignal<IClusterSettings, void>;
}

export const IClusterSettings = new Token<IClusterSettings>(
  'px-cluster:IClusterSettings',
  'The settings of the Cluster tab.'
);

/** Every command of this extension. */
export const CommandIDs = {
  open: 'px-cluster:open',
  start: 'px-cluster:start',
  stop: 'px-cluster:stop',
  stopAll: 'px-cluster:stop-all',
  scale: 'px-cluster:scale',
  interrupt: 'px-cluster:interrupt',
  restart: 'px-cluster:restart',
  use: 'px-cluster:use',
  logs: 'px-cluster:logs'
} as const;

export const PANEL_ID = 'px-cluster-panel';
