import { configKeys } from '../config/config-keys.ts';

/** A configuration that says nothing, and shows all that could be said. */
export function configTemplate(format: string): string {
  if (format === 'json') return '{\n  "server": { "port": 5000 }\n}\n';
  const comment = format === 'ts' ? '//' : '#';
  const separator = format === 'ts' ? ',' : '';
  const lines: string[] = [];
  let group: string | undefined;
  const endGroup = (): void => {
    if (group !== undefined && format === 'ts') lines.push(`  ${comment} },`);
  };
  for (const [key, { summary, example, default: standard }] of Object.entries(configKeys)) {
    const [first = key, second] = key.split('.');
    if (second !== undefined && first !== group) {
      endGroup();
      lines.push(format === 'ts' ? `  ${comment} ${first}: {` : `${comment} ${first}:`);
      group = first;
    }
    const value = standard === undefined || standard === '' ? example : standard;
    const written =
      format === 'ts' ? JSON.stringify(value).replaceAll('"', "'") : JSON.stringify(value);
    const indent = second === undefined ? '' : '  ';
    const before = format === 'ts' ? '  ' : '';
    lines.push(
      `${before}${comment} ${indent}${second === undefined ? '' : `${comment} `}${summary.replaceAll('`', '')}`,
    );
    lines.push(`${before}${comment} ${indent}${second ?? first}: ${written}${separator}`);
  }
  endGroup();
  if (format === 'yaml') {
    return `# How Keelson is set up. KEELSON_* variables and options outrank it; \`keelson config\` prints what is in force.\n${lines.join('\n')}\n`;
  }
  return `// How Keelson is set up. KEELSON_* variables and options outrank it; \`keelson config\` prints what is in force.
// For completion and checks of types: import { defineConfig } from '@keelson/server'; export default defineConfig({ … }).
export default {
${lines.join('\n')}
  // What only code can say, as openPlatform takes it: executors, notifiers, keys.
  // platform: { executors: [] },
};
`;
}

/** A training that takes a second and needs nothing but the platform. */
export const firstScript = `// Fits a line by gradient descent. \`keelson run train.ts\` makes it a run of the platform that the configuration names.
import { openPlatform } from '@keelson/core';

const platform = await openPlatform();
await platform.tracking.withRun(
  { experiment: 'first-steps', params: { learningRate: 0.05, epochs: 100 } },
  async (run) => {
    const points = Array.from({ length: 50 }, (_, x) => ({ x: x / 50, y: 3 * (x / 50) + 1 }));
    let [slope, offset] = [0, 0];
    for (let epoch = 0; epoch < 100; epoch += 1) {
      let loss = 0;
      for (const { x, y } of points) {
        const error = slope * x + offset - y;
        slope -= 0.05 * error * x;
        offset -= 0.05 * error;
        loss += error ** 2 / points.length;
      }
      run.logMetric('loss', loss, { step: epoch });
    }
    await run.logJson('model.json', { slope, offset });
    console.log(\`y = \${slope.toFixed(3)} x + \${offset.toFixed(3)}, run \${run.id}\`);
  },
);
await platform.close();
`;
