export {
  describeOwner,
  type OwnerState,
  ownerFromText,
  ownerState,
  ownerText,
} from '../process-owner.ts';
