/** One request to the server extension, and what can be said when it does not succeed. */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { IProblem } from './tokens.js';

/** A failure that carries what to show for it. */
export class ClusterError extends Error {
  constructor(readonly problem: IProblem) {
    super(problem.message);
  }
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

export class Api {
  constructor(
    readonly settings: ServerConnection.ISettings,
    private readonly trans: TranslationBundle
  ) {}

  /** Ask, and give the JSON of the answer (null for an empty one). Throws a ClusterError. */
  async ask<T>(method: Method, path: string, body?: unknown): Promise<T> {
    const url = URLExt.join(this.settings.baseUrl, 'pxcluster', path);
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(
        url,
        { method, body: body === undefined ? undefined : JSON.stringify(body) },
        this.settings
      );
    } catch (error) {
      throw new ClusterError(this.unreachable(error));
    }
    const text = await response.text();
    const answer = parse(text);
    if (response.ok) {
      return answer as T;
    }
    throw new ClusterError(problemOf(answer) ?? this.noServerPart(response, text));
  }

  /** The address of the stream of events. */
  eventsUrl(): string {
    const url = URLExt.join(this.settings.wsUrl, 'pxcluster/events');
    const token = this.settings.appendToken ? this.settings.token : '';
    return token ? `${url}?token=${encodeURIComponent(token)}` : url;
  }

  private unreachable(error: unknown): IProblem {
    return {
      code: 'server-unreachable',
      message: this.trans.__("Jupyter's server does not answer."),
      cause: error instanceof Error ? error.message : String(error),
      fix: [this.trans.__('Look whether the server still runs; clusters live on without it.')]
    };
  }

  private noServerPart(response: Response, text: string): IProblem {
    if (response.status === 404) {
      return {
        code: 'server-part-missing',
        message: this.trans.__("The Cluster tab's server part is not enabled."),
        cause: this.trans.__('The server answers 404 to /pxcluster.'),
        fix: [
          this.trans.__('In the environment that runs JupyterLab:') + ' pip install pxkernel',
          'jupyter server extension enable pxparallel.server',
          this.trans.__('Then start JupyterLab again.')
        ]
      };
    }
    return {
      code: 'server-error',
      message: this.trans.__('The server answered %1 %2.', response.status, response.statusText),
      cause: text.slice(0, 500),
      fix: [this.trans.__("Look at the server's output in its terminal.")]
    };
  }
}

function parse(text: string): unknown {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return undefined;
  }
}

function problemOf(answer: unknown): IProblem | null {
  if (typeof answer !== 'object' || answer === null) {
    return null;
  }
  const { error, message } = answer as { error?: unknown; message?: unknown };
  if (typeof error === 'object' && error !== null && 'code' in error) {
    return error as IProblem;
  }
  return typeof message === 'string' && message !== '' ? { code: 'server-error', message } : null;
}
