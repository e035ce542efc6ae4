import pg from 'pg';

/** One connection of plain `pg`, for what is measured beside the stores. */
export async function bareClient(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}
