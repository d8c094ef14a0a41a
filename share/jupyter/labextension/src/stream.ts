/**
 * The stream of events from the server: a websocket that is opened again when it closes, and
 * polling for as long as it is not open. Somewhere between browser and server a proxy may pass
 * no websockets; the tab works there too, a little later.
 */
import { Poll } from '@lumino/polling';
import type { IDisposable } from '@lumino/disposable';

import type { Api } from './api.js';
import { ClusterError } from './api.js';
import { isMoving } from './state.js';
import type { ClusterEvent, IClusters, ICluster, IHost } from './tokens.js';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const POLL_MS = 5000;
const POLL_MOVING_MS = 1000;

export class EventStream implements IDisposable {
  constructor(
    private readonly api: Api,
    private readonly tell: (event: ClusterEvent) => void,
    private readonly look: () => IClusters
  ) {
    this.poll = new Poll({
      auto: false,
      factory: () => this.ask(),
      frequency: { interval: POLL_MS, backoff: true, max: 4 * POLL_MS },
      name: 'px-cluster:poll',
      standby: 'when-hidden'
    });
    this.open();
  }

  get isDisposed(): boolean {
    return this.disposed;
  }

  dispose(): void {
    this.disposed = true;
    this.poll.dispose();
    window.clearTimeout(this.timer);
    this.socket?.close();
  }

  /** Ask for the list of clusters now. */
  async ask(): Promise<void> {
    try {
      const answer = await this.api.ask<{ host?: IHost; clusters: ICluster[] }>('GET', 'clusters');
      this.tell({ type: 'snapshot', host: answer.host ?? {}, clusters: answer.clusters });
    } catch (error) {
      if (error instanceof ClusterError) {
        this.tell({ type: 'problem', error: error.problem });
      }
      throw error;
    } finally {
      const interval = isMoving(this.look()) ? POLL_MOVING_MS : POLL_MS;
      if (!this.disposed && this.poll.frequency.interval !== interval) {
        this.poll.frequency = { ...this.poll.frequency, interval };
      }
    }
  }

  private open(): void {
    const socket = new this.api.settings.WebSocket(this.api.eventsUrl());
    this.socket = socket;
    socket.onmessage = (message: MessageEvent<string>) => {
      this.wait = FIRST_WAIT_MS;
      void this.poll.stop();
      this.tell(JSON.parse(message.data) as ClusterEvent);
    };
    socket.onclose = () => {
      if (this.disposed) {
        return;
      }
      void this.poll.start();
      void this.poll.refresh();
      this.timer = window.setTimeout(() => {
        this.open();
      }, this.wait);
      this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
    };
  }

  private readonly poll: Poll;
  private socket: WebSocket | null = null;
  private timer = 0;
  private wait = FIRST_WAIT_MS;
  private disposed = false;
}
