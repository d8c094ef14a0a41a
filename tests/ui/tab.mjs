/** The Cluster tab by itself: one function for each test, named by the option `scenario`. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import {
  openClusterTab,
  options,
  picture,
  pxcluster,
  row,
  startEngines,
  waitForState,
  withLab
} from './browser.mjs';

/** Note every text that an element shows, from now on. */
async function record(panel, selector) {
  await panel.evaluate((node, selector) => {
    window.pxSeen = [];
    const look = () => {
      const text = node.querySelector(selector)?.textContent;
      if (text && window.pxSeen.at(-1) !== text) {
        window.pxSeen.push(text);
      }
    };
    new MutationObserver(look).observe(node, {
      subtree: true,
      childList: true,
      characterData: true
    });
    look();
  }, selector);
  return () => panel.evaluate(() => window.pxSeen);
}

/** The name of what has the focus, as a screen reader would say it. */
async function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    return element?.getAttribute('aria-label') ?? element?.textContent ?? '';
  });
}

async function waitForFocus(page, words) {
  await page.waitForFunction(words => {
    const element = document.activeElement;
    const name = element?.getAttribute('aria-label') ?? element?.textContent ?? '';
    return element !== document.body && name.includes(words);
  }, words);
}

const scenarios = {
  /** Starting k/n as they come up; running only when all have answered. */
  async progress(page) {
    const panel = await openClusterTab(page);
    const seen = await record(panel, '.px-Cluster-state');
    await startEngines(panel, 4);
    const states = await seen();
    await row(panel, 'default').locator('tr[data-engine]').nth(3).waitFor();
    assert.equal(await row(panel, 'default').getByRole('progressbar').count(), 0);
    await page.getByRole('button', { name: '4 engines; open the Cluster tab' }).waitFor();
    return { states, engines: pxcluster('status', 'default').engines };
  },

  /** All by keys: open by the palette, set a number, start, fold, stop; the focus is never lost. */
  async keyboard(page) {
    await page.locator('.jp-LauncherCard').first().waitFor();
    await page.keyboard.press('ControlOrMeta+Shift+C');
    await page.locator('#modal-command-palette input').waitFor();
    await page.keyboard.type('Show Clusters');
    await page.keyboard.press('Enter');
    const panel = page.getByRole('region', { name: 'Cluster', exact: true });
    await panel.getByText('No cluster is running.').waitFor();
    await waitForFocus(page, 'Start');
    await page.keyboard.press('Shift+Tab');
    assert.equal(await focused(page), 'Number of engines');
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type('1');
    await page.keyboard.press('Enter');
    await waitForFocus(page, 'default');
    await waitForState(panel, 'default', 'running 1/1');
    const title = row(panel, 'default').locator('.px-Cluster-title');
    assert.equal(await title.getAttribute('aria-expanded'), 'true');
    await page.keyboard.press('ArrowLeft');
    assert.equal(await title.getAttribute('aria-expanded'), 'false');
    await page.keyboard.press('ArrowRight');
    assert.equal(await title.getAttribute('aria-expanded'), 'true');
    await page.keyboard.press('Tab');
    assert.equal(await focused(page), 'Stop default');
    await page.keyboard.press('Enter');
    await row(panel, 'default').waitFor({ state: 'detached' });
    await waitForFocus(page, 'Start 1 engine');
    await page.waitForFunction(() =>
      document.querySelector('#px-cluster-panel [role="status"]')?.textContent.includes('stopped')
    );
  },

  /** What has the focus is the same element after other clusters came, changed and went. */
  async focus(page) {
    const panel = await openClusterTab(page);
    await startEngines(panel, 1);
    const button = row(panel, 'default').getByRole('button', { name: 'Log of default' });
    await button.focus();
    const before = await page.evaluateHandle(() => document.activeElement);
    pxcluster('start', 'aaa', '-n', '1');
    await waitForState(panel, 'aaa', 'running 1/1');
    pxcluster('scale', 'aaa', '-n', '2');
    await waitForState(panel, 'aaa', 'running 2/2');
    pxcluster('stop', 'aaa');
    await row(panel, 'aaa').waitFor({ state: 'detached' });
    assert.ok(await page.evaluate(element => element === document.activeElement, before));
  },

  /** A killed engine is seen, named and can be replaced. */
  async death(page) {
    const panel = await openClusterTab(page);
    await startEngines(panel, 2);
    const [, second] = pxcluster('status', 'default').engines;
    process.kill(second.pid, 'SIGKILL');
    await waitForState(panel, 'default', 'degraded 1/2');
    const line = row(panel, 'default').locator(`tr[data-engine="${second.id}"]`);
    await line.getByText('dead').waitFor();
    await row(panel, 'default').getByText('SIGKILL').first().waitFor();
    await page.locator('.Toastify').getByText(`Engine ${second.id} of cluster default`).waitFor();
    await picture(page, 'degraded');
    await line.getByRole('button', { name: `Actions on engine ${second.id} of default` }).click();
    await page.getByRole('menuitem', { name: `Restart Engine ${second.id}` }).click();
    await waitForState(panel, 'default', 'running 2/2');
    assert.equal(pxcluster('status', 'default').engines.length, 2);
  },

  /** What is under More…: where engines run, with what is missing for it, and replacement. */
  async more(page) {
    const panel = await openClusterTab(page);
    await panel.getByRole('button', { name: 'More…' }).click();
    const where = panel.getByRole('combobox', { name: 'Where engines run' });
    await where.locator('option[value="lsf"]').waitFor({ state: 'attached' });
    await where.selectOption('lsf');
    await panel.getByRole('alert').getByText('bsub').waitFor();
    assert.ok(await panel.getByRole('button', { name: /^Start/ }).isDisabled());
    await where.selectOption('ssh');
    assert.ok(await panel.getByRole('button', { name: /^Start/ }).isDisabled());
    await panel.getByRole('textbox', { name: 'Hosts' }).fill('somewhere=1');
    assert.ok(await panel.getByRole('button', { name: /^Start/ }).isEnabled());
    await where.selectOption('local');
    await panel.getByRole('checkbox', { name: 'Replace engines that die' }).check();
    await startEngines(panel, 1);
    const { engines, restart } = pxcluster('status', 'default');
    assert.equal(restart, true);
    process.kill(engines[0].pid, 'SIGKILL');
    await row(panel, 'default').locator('tr[data-engine="1"]').waitFor();
    return { engines };
  },

  /** More engines, then fewer, by the field in the row. */
  async scale(page) {
    const panel = await openClusterTab(page);
    await startEngines(panel, 1);
    const field = panel.getByRole('spinbutton', { name: 'Number of engines of default' });
    await field.fill('3');
    await panel.getByRole('button', { name: 'Scale default to 3 engines' }).click();
    await waitForState(panel, 'default', 'running 3/3');
    await field.fill('2');
    await field.press('Enter');
    await waitForState(panel, 'default', 'running 2/2');
    await row(panel, 'default').locator('tr[data-engine]').nth(2).waitFor({ state: 'detached' });
    return { engines: pxcluster('status', 'default').engines };
  },

  /** Numbers that are none are refused in the field, names in theirs. */
  async refusals(page) {
    const panel = await openClusterTab(page);
    const field = panel.getByRole('spinbutton', { name: 'Number of engines', exact: true });
    for (const wrong of ['0', '-3', '2.5', '']) {
      await field.fill(wrong);
      await panel.getByText('A whole number from 1 to 1024').waitFor();
      await field.press('Enter');
    }
    assert.deepEqual(pxcluster('list').clusters, []);
    await field.fill('1');
    await panel.getByRole('button', { name: 'Name…' }).click();
    const name = panel.getByRole('textbox', { name: 'Name' });
    await name.fill('a/b');
    await panel.getByText('Letters, digits, dot, dash and underscore').waitFor();
    await name.fill('sweep');
    await name.press('Enter');
    await waitForState(panel, 'sweep', 'running 1/1');
    await panel.getByRole('button', { name: 'Start another cluster' }).click();
    await name.fill('sweep');
    await panel.getByText('sweep runs already.').waitFor();
  },

  /** Clusters of the command line are listed, with their end. */
  async elsewhere(page) {
    const panel = await openClusterTab(page);
    await panel.getByText('No cluster is running.').waitFor();
    pxcluster('start', 'nightly', '-n', '1');
    await waitForState(panel, 'nightly', 'running 1/1');
    pxcluster('stop', 'nightly');
    await panel.getByText('No cluster is running.').waitFor();
  },

  /** Clusters stand in JupyterLab's list of what runs, and can be stopped there. */
  async running(page) {
    const panel = await openClusterTab(page);
    await startEngines(panel, 1);
    await page.getByRole('tab', { name: 'Running Terminals and Kernels' }).click();
    const list = page.getByRole('region', { name: 'Clusters Section' });
    const item = list.locator('.jp-RunningSessions-item', { hasText: 'default' });
    await item.getByText('running 1/1').waitFor();
    await item.hover();
    await item.locator('.jp-RunningSessions-itemShutdown').click();
    await item.waitFor({ state: 'detached' });
    assert.deepEqual(pxcluster('list').clusters, []);
  },

  /** A cluster that an earlier server started is there, and can be stopped. */
  async adopted(page) {
    const panel = await openClusterTab(page);
    await waitForState(panel, 'default', 'running 4/4');
    const { engines } = pxcluster('status', 'default');
    await panel.getByRole('button', { name: 'Stop default' }).click();
    await panel.getByText('No cluster is running.').waitFor();
    return { engines };
  },

  /** No websocket gets through: the tab asks for the list instead, and all works. */
  async polling(page) {
    await page.routeWebSocket(/pxcluster\/events/, socket => void socket.close());
    await page.reload();
    await page.locator('.jp-LauncherCard').first().waitFor();
    await page.evaluate(() => window.jupyterapp.restored.then(() => true));
    const panel = await openClusterTab(page);
    await startEngines(panel, 2);
    await row(panel, 'default').locator('tr[data-engine]').nth(1).waitFor();
    await panel.getByRole('button', { name: 'Stop default' }).click();
    await panel.getByText('No cluster is running.').waitFor();
  },

  /** What the settings say is done: a number, no status item, always a question. */
  async settings(page) {
    const panel = await openClusterTab(page);
    const field = panel.getByRole('spinbutton', { name: 'Number of engines', exact: true });
    assert.equal(await field.inputValue(), '3');
    await panel.getByRole('button', { name: 'Start 3 engines' }).click();
    await waitForState(panel, 'default', 'running 3/3');
    assert.equal(await page.locator('.px-Status').count(), 0);
    await panel.getByRole('button', { name: 'Stop default' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click();
    await panel.getByText('No cluster is running.').waitFor();
  },

  /** The program is not there: the tab says so and what helps, and works as soon as it is. */
  async missing(page) {
    const panel = await openClusterTab(page);
    const alert = panel.getByRole('alert');
    await alert.getByText('The program pxcluster was not found.').waitFor();
    await alert.getByText('Install pxkernel').waitFor();
    await picture(page, 'missing');
    fs.symlinkSync(options.program.real, options.program.link);
    await alert.getByRole('button', { name: 'Try again' }).click();
    await panel.getByText('No cluster is running.').waitFor();
  },

  /** Engines that cannot start: failed, why, the log, and a way out. */
  async failing(page) {
    const panel = await openClusterTab(page);
    await panel.getByRole('spinbutton', { name: 'Number of engines', exact: true }).fill('2');
    await panel.getByRole('button', { name: 'Start 2 engines' }).click();
    await waitForState(panel, 'default', 'failed');
    const alert = row(panel, 'default').getByRole('alert');
    await alert.getByText('Python could not be started for the engines').waitFor();
    await picture(page, 'failed');
    await alert.getByRole('button', { name: 'Log of default' }).click();
    await page.locator('.px-Logs pre', { hasText: 'zygote' }).waitFor();
    await panel.getByRole('button', { name: 'Stop default' }).click();
    await panel.getByText('No cluster is running.').waitFor();
  },

  /** The server knows nothing of /pxcluster. */
  async disabled(page) {
    const panel = await openClusterTab(page);
    const alert = panel.getByRole('alert');
    await alert.getByText('server part is not enabled').waitFor();
    await alert.getByText('jupyter server extension enable pxparallel.server').waitFor();
  },

  /** Busy engines are not stopped without a question. */
  async busy(page) {
    const panel = await openClusterTab(page);
    await startEngines(panel, 1);
    const work =
      'from pxparallel import Client; c = Client(); ' +
      "c[:].execute('import threading; threading.Event().wait()', block=False); input()";
    const user = spawn(options.python, ['-c', work], { stdio: ['pipe', 'ignore', 'inherit'] });
    try {
      await row(panel, 'default').locator('.px-State', { hasText: 'busy' }).waitFor();
      await panel.getByRole('button', { name: 'Stop default' }).click();
      const dialog = page.getByRole('dialog');
      await dialog.getByText('1 engine is at work').waitFor();
      await dialog.getByRole('button', { name: 'Keep It Running' }).click();
      await waitForState(panel, 'default', 'running 1/1');
      assert.equal(await focused(page), 'Stop default');
      await page.keyboard.press('Enter');
      await dialog.getByRole('button', { name: 'Stop' }).click();
      await panel.getByText('No cluster is running.').waitFor();
    } finally {
      user.kill('SIGKILL');
    }
  },

  /** The log of the controller and of an engine; use in a new notebook. */
  async useAndLog(page) {
    const panel = await openClusterTab(page);
    await startEngines(panel, 1);
    await panel.getByRole('button', { name: 'Log of default' }).click();
    const log = page.locator('.px-Logs');
    await log.locator('pre').getByText(/\S/).first().waitFor();
    await log.getByRole('combobox', { name: 'Whose log' }).selectOption('Engine 0');
    await page.locator('.lm-TabBar-tab', { hasText: 'Log of default' }).locator('.jp-icon-hover').click();
    await panel.getByRole('button', { name: 'Use default in the notebook' }).click({
      modifiers: ['Shift']
    });
    await page.locator('.jp-Notebook .jp-OutputArea-output', { hasText: '[0]' }).waitFor();
  },

  /** Every text of the panel against what is behind it, in each theme. */
  async contrast(page) {
    const panel = await openClusterTab(page);
    await startEngines(panel, 2);
    const [, second] = pxcluster('status', 'default').engines;
    process.kill(second.pid, 'SIGKILL');
    await waitForState(panel, 'default', 'degraded 1/2');
    await panel.getByRole('button', { name: 'Start another cluster' }).click();
    await panel.getByRole('textbox', { name: 'Name' }).fill('a/b');
    const worst = {};
    for (const theme of options.themes) {
      await page.evaluate(
        theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme }),
        theme
      );
      await page.waitForFunction(theme => document.body.dataset.jpThemeName === theme, theme);
      await page.locator('#jupyterlab-splash').waitFor({ state: 'detached' });
      worst[theme] = await panel.evaluate(lowestContrast);
      await picture(page, theme.replaceAll(' ', '-').toLowerCase());
    }
    return { worst };
  }
};

/** The lowest contrast of any text in an element, and the text. Runs in the page. */
function lowestContrast(root) {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = ([r, g, b]) =>
    [r, g, b]
      .map(v => v / 255)
      .map(v => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) {
        return colour;
      }
    }
    return [255, 255, 255];
  };
  let lowest = { ratio: 99, text: '' };
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent.trim();
    if (!text || element.closest('.px-Hidden, [aria-disabled="true"], [hidden]')) {
      continue;
    }
    const [a, b] = [rgba(getComputedStyle(element).color), behind(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < lowest.ratio) {
      lowest = { ratio, text };
    }
  }
  return lowest;
}

await withLab(page => scenarios[options.scenario](page));
