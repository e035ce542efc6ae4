import { seededRandom } from '@keelson/core/statistics';
import { type Day, loadWeather, type Weather } from '../weather/weather-data.ts';

/**
 * Where the labels come from. `real`: as observed. `stable`: drawn, for all years alike, from the shares
 * of 2012 given dry or wet and the quarter, so that nothing changes. `worsening`: as `stable`, but from
 * July 2013 on dry days are called drizzle half of the time.
 */
export type LabelMode = 'real' | 'stable' | 'worsening';

/** From this day on labels worsen. */
export const worseningBegins = '2013-07-01';

/** The days of all four years, with labels by the mode; the same seed gives the same labels. */
export function labelledDays(mode: LabelMode, seed: number): readonly Day[] {
  const { days } = loadWeather();
  if (mode === 'real') return days;
  const shares = new Map<string, Weather[]>();
  for (const day of days.filter((each) => each.year === 2012)) {
    const group = shares.get(stratumOf(day)) ?? [];
    group.push(day.weather);
    shares.set(stratumOf(day), group);
  }
  return days.map((day) => {
    // A stream of its own for each day: where a draw is used does not move the others.
    const random = seededRandom(`${seed}:${day.date}`);
    const group = shares.get(stratumOf(day)) ?? [];
    const drawn = group[random.below(group.length)] as Weather;
    const isWorse = mode === 'worsening' && day.date >= worseningBegins && day.precipitation === 0;
    return { ...day, weather: isWorse && random.chance(0.5) ? 'drizzle' : drawn };
  });
}

function stratumOf(day: Day): string {
  const angle = Math.floor(
    (4 * (Date.parse(day.date) - Date.parse(`${day.year}-01-01`))) / (365.25 * 86_400_000),
  );
  return `${day.precipitation === 0 ? 'dry' : 'wet'} ${angle}`;
}
