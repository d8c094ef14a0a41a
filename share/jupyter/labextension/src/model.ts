/** The model behind every view: state from the stream, actions through the API. */
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { Api } from './api.js';
import { ClusterError } from './api.js';
import { apply, UNKNOWN } from './state.js';
import { EventStream } from './stream.js';
import type {
  Action,
  ClusterEvent,
  ICluster,
  IClusterModel,
  IClusters,
  ILauncher,
  ILog,
  IProblem,
  IStartOptions
} from './tokens.js';
import { NEW } from './tokens.js';

export class ClusterModel implements IClusterModel, IDisposable {
  constructor(private readonly api: Api) {
    this.stream = new EventStream(
      api,
      event => {
        this.take(event);
      },
      () => this.clusters
    );
  }

  clusters: IClusters = UNKNOWN;
  readonly asked = new Map<string, Action>();
  readonly problems = new Map<string, IProblem>();

  get changed(): ISignal<this, void> {
    return this.changedSignal;
  }

  get moved(): ISignal<this, { before: IClusters; after: IClusters }> {
    return this.movedSignal;
  }

  get isDisposed(): boolean {
    return this.stream.isDisposed;
  }

  dispose(): void {
    this.stream.dispose();
    Signal.clearData(this);
  }

  folder: () => string | undefined = () => undefined;

  launchers(): Promise<ILauncher[]> {
    return this.api.ask<ILauncher[]>('GET', 'launchers');
  }

  start(n: number, id?: string, options: IStartOptions = {}): Promise<boolean> {
    return this.act(NEW, 'start', async () => {
      const body = { n, id, cwd: this.folder(), ...options };
      const cluster = await this.api.ask<ICluster>('POST', 'clusters', body);
      // The stream is usually quicker and then knows more than this answer does.
      if (!this.clusters.list.some(c => c.id === cluster.id)) {
        this.take({ type: 'cluster', cluster });
      }
    });
  }

  stop(id: string): Promise<boolean> {
    return this.act(id, 'stop', async () => {
      await this.api.ask('DELETE', path(id));
      this.take({ type: 'gone', id });
    });
  }

  scale(id: string, n: number): Promise<boolean> {
    return this.act(id, 'scale', () => this.api.ask('PATCH', path(id), { n }));
  }

  interrupt(id: string, engines?: number[]): Promise<boolean> {
    return this.act(id, 'interrupt', () =>
      this.api.ask('POST', `${path(id)}/interrupt`, { engines })
    );
  }

  restart(id: string, engines?: number[]): Promise<boolean> {
    return this.act(id, 'restart', () => this.api.ask('POST', `${path(id)}/restart`, { engines }));
  }

  async refresh(): Promise<void> {
    try {
      await this.stream.ask();
    } catch {
      // The stream has told what is wrong.
    }
  }

  dismiss(id: string): void {
    if (this.problems.delete(id)) {
      this.changedSignal.emit();
    }
  }

  log(id: string, engine?: number): Promise<ILog> {
    const query = engine === undefined ? '' : `&engine=${engine}`;
    return this.api.ask('GET', `${path(id)}/logs?tail=2000${query}`);
  }

  /** Do one thing with one cluster; what is wrong with it stands until the next thing is done. */
  private async act(id: string, action: Action, work: () => Promise<unknown>): Promise<boolean> {
    if (this.asked.has(id)) {
      return false;
    }
    this.asked.set(id, action);
    this.problems.delete(id);
    this.changedSignal.emit();
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof ClusterError)) {
        throw error;
      }
      this.problems.set(id, error.problem);
      return false;
    } finally {
      this.asked.delete(id);
      this.changedSignal.emit();
    }
  }

  private take(event: ClusterEvent): void {
    const before = this.clusters;
    const after = apply(before, event);
    this.clusters = after;
    if (event.type === 'gone') {
      this.problems.delete(event.id);
    }
    if (before.known) {
      this.movedSignal.emit({ before, after });
    }
    this.changedSignal.emit();
  }

  private readonly changedSignal = new Signal<this, void>(this);
  private readonly movedSignal = new Signal<this, { before: IClusters; after: IClusters }>(this);
  private readonly stream: EventStream;
}

function path(id: string): string {
  return `clusters/${encodeURIComponent(id)}`;
}
